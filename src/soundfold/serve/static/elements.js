// The page's elements: finding one, and making one.

export const $ = (id) => document.getElementById(id);

export function element(kind, className = "", text = "") {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
