"""The benchmarks that `terrarium bench` prints, each beside a reference measured in the same process."""
