package probes

import (
	"strconv"
	"sync/atomic"
)

// count numbers things from 1.
type count struct{ n atomic.Int64 }

func (c *count) next() string { return strconv.FormatInt(c.n.Add(1), 10) }
