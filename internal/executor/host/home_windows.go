package host

// windowsHome: programs here look for a home in other variables.
const windowsHome = true
