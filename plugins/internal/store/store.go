// Package store has plugins share state between processes by Redis, without linking a client in: the package
// plugins/redis brings it, where it is compiled in.
package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"mosn.io/moe/framework/filter"
)

// Redis says where Redis is, and how it is reached.
type Redis struct {
	// Addresses are host:port of the server; with cluster, of some nodes of the cluster; with master, of the Sentinels.
	Addresses []string `json:"addresses" validate:"min=1,max=100"`
	// Cluster has the servers taken for a Redis Cluster.
	Cluster bool `json:"cluster"`
	// Master is the name by which Sentinels know the primary.
	Master string `json:"master"`
	// Username and Password are those of Redis.
	Username string        `json:"username"`
	Password filter.Secret `json:"password"`
	// SentinelUsername and SentinelPassword are those of the Sentinels.
	SentinelUsername string        `json:"sentinelUsername"`
	SentinelPassword filter.Secret `json:"sentinelPassword"`
	// Database is the number of the database, which is 0 in a cluster.
	Database int `json:"database" validate:"min=0,max=1000000"`
	// TLS has connections encrypted.
	TLS *TLS `json:"tls"`
	// Timeout is how long a call may take, connecting included.
	Timeout time.Duration `json:"timeout" default:"100ms"`
	// Connections is how many connections there are to a server at most.
	Connections int `json:"connections" default:"8" validate:"min=1,max=1000"`
	// Prefix is what keys begin with.
	Prefix string `json:"prefix" default:"moe:"`
}

// TLS is how connections are encrypted.
type TLS struct {
	// CAFile holds certificates in PEM that are trusted instead of the system's.
	CAFile string `json:"caFile"`
	// CertFile and KeyFile are the client's certificate and key in PEM.
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// ServerName is the name that the server's certificate must have; by default the host of its address.
	ServerName string `json:"serverName"`
}

// Validate checks what does not need the servers.
func (c *Redis) Validate() error {
	var errs []error
	for i, a := range c.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("addresses[%d]: expected host:port", i))
		}
	}
	switch {
	case c.Cluster && c.Master != "":
		errs = append(errs, errors.New("cluster and master are mutually exclusive"))
	case c.Cluster && c.Database != 0:
		errs = append(errs, errors.New("database: a cluster has only 0"))
	case !c.Cluster && c.Master == "" && len(c.Addresses) > 1:
		errs = append(errs, errors.New("addresses: several take cluster or master"))
	}
	if c.Master == "" && (c.SentinelUsername != "" || c.SentinelPassword.Reveal() != "") {
		errs = append(errs, errors.New("sentinelUsername and sentinelPassword: need master"))
	}
	if c.Timeout < time.Millisecond || c.Timeout > 10*time.Second {
		errs = append(errs, errors.New("timeout: must be 1ms to 10s"))
	}
	if len(c.Prefix) > 100 {
		errs = append(errs, errors.New("prefix: must be 100 bytes at most"))
	}
	if t := c.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, errors.New("tls: certFile and keyFile need each other"))
	}
	return errors.Join(errs...)
}

// InField returns the errors that were joined in err, each with the path of the field that they are about.
func InField(field string, err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{fmt.Errorf("%s.%w", field, err)}
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, InField(field, e)...)
	}
	return errs
}

// Call is one run of a script for one key.
type Call struct {
	Key  string
	Args []any
	// Numbers are what the script has returned, a list of integers, if Err is nil.
	Numbers []int64
	Err     error
}

// Client runs one script on Redis. Its methods may be called from any goroutine.
type Client interface {
	// Run runs the script once for each call, in one round trip to each server that has keys of them, and sets what they
	// have returned. A call that fails may have been carried out.
	Run(ctx context.Context, calls []*Call)
	// Close ends the connections.
	Close() error
}

var open func(c *Redis, script string) (Client, error)

// Register has Open use f. It is called in an init function.
func Register(f func(c *Redis, script string) (Client, error)) { open = f }

// Open returns a client for a script in Lua. It does not connect yet: a server that is down fails the calls.
func Open(c *Redis, script string) (Client, error) {
	if open == nil {
		return nil, errors.New("the package plugins/redis is not compiled in: build without --without redis")
	}
	return open(c, script)
}

// Values are byte strings by their keys, which expire, and sets by which they can be removed. Its methods may be called from
// any goroutine.
type Values interface {
	// Get returns a value, nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set stores a value for a time, and puts its key into sets, unless one of these has been purged since then, or nobody
	// can tell: kept is whether the value stays. Where Set fails half-way the value goes in a few seconds.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration, sets []string, since time.Time) (kept bool, err error)
	// PurgeSome notes that a set is purged, and removes some of the values whose keys are in a set, and then their keys from the set. It returns how many
	// values these were, and whether there is more to remove. After an error it can be called again.
	PurgeSome(ctx context.Context, set string) (n int, more bool, err error)
	// Close ends the connections.
	Close() error
}

var openValues func(c *Redis) (Values, error)

// RegisterValues has OpenValues use f. It is called in an init function.
func RegisterValues(f func(c *Redis) (Values, error)) { openValues = f }

// OpenValues returns a client for values. It does not connect yet: a server that is down fails the calls.
func OpenValues(c *Redis) (Values, error) {
	if openValues == nil {
		return nil, errors.New("the package plugins/redis is not compiled in: build without --without redis")
	}
	return openValues(c)
}
