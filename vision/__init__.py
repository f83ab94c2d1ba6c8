"""Images to embeddings the language model understands. So far: the scenes it will learn from (`vision.scenes`)."""
