"""What the language model is told of a picture and how it thinks about one, as tokens that people never see."""
