"""Published data sets from the network: what there is, the download, the unpacking, and proof that all of it has come.

`fetching.py` is the way in; each module below it knows nothing of the ones that use it.
"""
