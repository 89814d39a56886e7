"""Whole models in processes of a Ray cluster: the processes, whether they are alike, and who answers what."""
