"""Semi-supervised learners: they learn from unlabelled items too."""
