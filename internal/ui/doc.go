// Package ui shows what the plugins of a running MoE do, as pages for a browser: routes with rates, errors and latencies, the
// latest requests with their timelines, the configuration and where each part of it comes from, and the plugins'
// documentation.
//
// What is shown of requests comes from clients who may be hostile, and what is shown of the configuration must not have a
// secret in it. So everything is made by html/template, is bounded, and is for those alone who have the token.
package ui
