"""
Bodies, queries and replies of the operations, in files of the same names as `operations/`.

What we ask is checked before it is sent; what MRS answers is forgiven where its documents disagree, and unknown fields
are kept. `base` holds the two parents. Read `base` first.
"""
