"""
The topics of a deployment: create them, check their settings, and watch them while the relay runs.

Read `topic_setup` first. `topic_rules` judges `topic_facts`, `topic_monitor` repeats the check, and `recreation` checks
that the ledger still belongs to the requests topic.
"""
