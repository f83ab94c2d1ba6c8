"""Pictures of text to text: an engine behind an interface (base.py), Tesseract by default."""
