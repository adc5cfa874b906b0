package main

import (
	"context"
	"fmt"
)

// memoryRow is what a variant's process held in memory while bodies were echoed through it.
type memoryRow struct {
	Name     string `json:"name"`
	What     string `json:"what"`
	Requests int    `json:"requests"`
	Start    int64  `json:"startBytes"` // after a tenth as many requests, which are not counted
	Half     int64  `json:"halfBytes"`
	End      int64  `json:"endBytes"`
	Peak     int64  `json:"peakBytes"` // between start and end
}

const bodySize = 10 << 10

// memory echoes n bodies of 10 KiB through each variant, one after the other, and checks every one that comes back.
func memory(ctx context.Context, h *host, vs []variant, n, conns int, progress func(string)) ([]memoryRow, error) {
	port, stop, err := startEcho()
	if err != nil {
		return nil, err
	}
	defer stop()
	body := make([]byte, bodySize)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	var out []memoryRow
	for _, v := range vs {
		v.name = "memory-" + v.name
		row, err := memoryOf(ctx, h, v, port, n, conns, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		out = append(out, row)
		progress(v.name)
	}
	return out, nil
}

func memoryOf(ctx context.Context, h *host, v variant, upstream, n, conns int, body []byte) (memoryRow, error) {
	row := memoryRow{Name: v.name, What: v.what, Requests: n}
	p, err := h.start(ctx, v, upstream, false)
	if err != nil {
		return row, err
	}
	c, err := dial(p.port, conns, 1, bodySize+4096, post(pathEcho, body), body)
	if err != nil {
		return row, err
	}
	defer c.close()
	if _, err := c.run(up(ctx, n/10)); err != nil {
		return row, err
	}
	if err := resetPeak(p.Pid()); err != nil {
		return row, err
	}
	for _, at := range []struct {
		n  int
		to *int64
	}{{0, &row.Start}, {n / 2, &row.Half}, {n - n/2, &row.End}} {
		if at.n > 0 {
			if _, err := c.run(up(ctx, at.n)); err != nil {
				return row, err
			}
		}
		r, err := readRSS(p.Pid())
		if err != nil {
			return row, err
		}
		*at.to, row.Peak = r.now, r.peak
	}
	return row, ctx.Err()
}

// up has a client send n requests, and a few more that are in flight by then.
func up(ctx context.Context, n int) func(int) bool {
	return func(done int) bool { return done < n && ctx.Err() == nil }
}
