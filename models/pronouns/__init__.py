"""Pronouns resolved by pointing: which of the nouns in a sentence its "it" is, told by models grown for that."""
