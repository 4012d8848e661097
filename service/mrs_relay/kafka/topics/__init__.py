"""
The topics of a deployment: create them, check their settings, and watch them while the relay runs.

Read `topic_setup` first. `topic_rules` judges `topic_facts`; `topic_monitor` repeats the check; `recreation` asks
whether the requests topic is still the one that the ledger belongs to.
"""
