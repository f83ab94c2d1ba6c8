"""`make alerts`: every alert is made to fire by its symptom."""
