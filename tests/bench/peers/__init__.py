"""The engines that ours is measured against, each a small program of its own (lines.py), some in an environment of its
own (environments.py). They import nothing of ours, because their interpreters do not have it.
"""
