"""Pronoun resolution by pointing: small models that learn which of the nouns in a sentence its "it" refers to."""
