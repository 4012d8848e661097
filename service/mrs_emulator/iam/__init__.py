"""
Who may call: IAM's tokens and temporary keys, and the check of signatures.

Read `signature.py` first, then `accounts.py` and `iam.py`.
"""
