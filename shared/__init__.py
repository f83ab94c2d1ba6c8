"""The vocabulary of the house: values, messages, settings, errors, broker and store. No tensors, no HTTP."""
