"""Position schemes and masks as pictures with a short text: what the model of a design actually computes."""
