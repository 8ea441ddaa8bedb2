"""The time machine: samples, predictions and attention of a run at any recorded step."""
