package probes

import "net/http"

// Setter sets the same headers in all streams, without a phase.
type Setter struct {
	// Request has the values by name.
	Request http.Header `json:"request"`
	// Response likewise.
	Response http.Header `json:"response"`
}

// SetsHeaders returns the configuration.
func (s *Setter) SetsHeaders() (request, response http.Header) { return s.Request, s.Response }
