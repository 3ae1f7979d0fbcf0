//go:build !windows

package host

// windowsHome is for the platform on which programs look for a home in other variables.
const windowsHome = false
