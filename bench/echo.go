package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
)

// startEcho serves HTTP on a port of 127.0.0.1, answering every request with its body, until stop is called.
func startEcho() (port int, stop func() error, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	s := &http.Server{Handler: http.HandlerFunc(echo)}
	go s.Serve(l) // returns when the server is closed
	return l.Addr().(*net.TCPAddr).Port, s.Close, nil
}

// echo gives its answer a length, which the client needs.
func echo(w http.ResponseWriter, r *http.Request) {
	p, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("content-length", strconv.Itoa(len(p)))
	w.Write(p) // the client is gone if it fails
}
