"""How good a model is, measured on labels it has not seen."""
