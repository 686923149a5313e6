"""LabelTrain's strategies inside other libraries; each module here needs the library it names."""
