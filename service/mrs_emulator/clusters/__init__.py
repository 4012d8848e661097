"""
Clusters: how they are ordered, live, grow, shrink and end, with their hosts and tags.

Read `cluster_life.py` and `stages.py` first (a cluster over time, pure), then `creating.py` and `clusters.py`.
"""
