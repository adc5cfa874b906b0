// Package redis is not a plugin. It brings the client by which plugins share state over Redis, so that a build which
// leaves it out has none.
package redis

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"mosn.io/moe/plugins/internal/store"
)

func init() {
	store.Register(open)
	redis.SetLogger(quiet{}) // what fails is an error of a call, which plugins log
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// client is a store.Client.
type client struct {
	redis.UniversalClient
	script *redis.Script
}

func open(c *store.Redis, script string) (store.Client, error) {
	o, err := options(c)
	if err != nil {
		return nil, err
	}
	return &client{redis.NewUniversalClient(o), redis.NewScript(script)}, nil
}

func options(c *store.Redis) (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{
		Addrs: c.Addresses, IsClusterMode: c.Cluster, MasterName: c.Master, DB: c.Database,
		Username: c.Username, Password: c.Password.Reveal(),
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword.Reveal(),
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		PoolSize: c.Connections, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaxRetries:    -1, // a call that fails may have counted
		DialerRetries: 1,
	}
	if c.TLS != nil {
		config, err := load(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		o.TLSConfig = config
	}
	return o, nil
}

// Run is that of store.Client.
func (c *client) Run(ctx context.Context, calls []*store.Call) {
	c.run(ctx, calls, c.script.EvalSha)
	var unknown []*store.Call
	for _, call := range calls {
		if call.Err != nil && redis.HasErrorPrefix(call.Err, "NOSCRIPT") {
			unknown = append(unknown, call)
		}
	}
	if len(unknown) > 0 { // a server that is new, or has been restarted
		c.run(ctx, unknown, c.script.Eval)
	}
}

type eval func(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

func (c *client) run(ctx context.Context, calls []*store.Call, f eval) {
	pipe := c.Pipeline()
	replies := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		replies[i] = f(ctx, pipe, []string{call.Key}, call.Args...)
	}
	_, err := pipe.Exec(ctx)
	for i, call := range calls {
		call.Numbers, call.Err = replies[i].Int64Slice()
		if call.Err == nil && call.Numbers == nil && err != nil {
			call.Err = err
		}
	}
}
