// Package envoytypes makes all messages of Envoy's API v3 known to the program that imports it, so that package istio can
// decode whatever an EnvoyFilter holds. It is apart because it adds some megabytes to a program.
package envoytypes
