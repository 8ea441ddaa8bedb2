"""Human preferences between replies: collected pairs, their statistics, and datasets of them. No torch."""
