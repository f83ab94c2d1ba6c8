"""The visual-reasoning model: from a picture to the objects in it, their attributes, places and relations."""
