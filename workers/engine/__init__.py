"""Many answers in one forward pass: policy in scheduler.py (plain integers), mechanism in model_runner.py (tensors)."""
