package gates

// exitWithHost has nothing to do: the host puts its sets into a job object that ends with it.
func exitWithHost() {}
