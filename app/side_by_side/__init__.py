"""Several models on one prompt: their replies, and what each makes of the others'. No widgets."""
