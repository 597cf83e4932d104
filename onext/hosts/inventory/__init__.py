"""From oned's documents to the values of model.py; what cannot be read is never taken as permission."""
