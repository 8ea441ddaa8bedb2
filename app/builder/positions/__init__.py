"""Pictures and short texts of position schemes and attention masks, computed as in the model of a design."""
