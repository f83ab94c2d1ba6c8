"""Synthetic scenes with Korean questions: what pictures show is known exactly, so every answer is.

How to run: `python -m vision.scenes --seed 0 --n 100 --out DIR`
"""
