"""The glass box: views into the model for the token under the cursor."""
