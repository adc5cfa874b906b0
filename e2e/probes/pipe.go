package probes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

type pipeFunc = func(ctx context.Context, w io.Writer, r io.Reader) error

// pipe returns what `pipe NAME` does with a body:
//
//	upper copy double prefix suffix  change it chunk by chunk
//	buffer                           reads all of it before it writes
//	early                            returns after the first read and leaves the rest
//	drop                             writes nothing
//	error panic                      fail after the first read
//	ahead                            writes what it has read first, and returns when the stream ends
//	wait                             never returns before the stream ends
func pipe(r *run, a []string) pipeFunc {
	f := pipes[a[0]]
	if f == nil {
		panic("probe: pipe " + a[0])
	}
	return func(ctx context.Context, w io.Writer, in io.Reader) error {
		Live.Goroutines.Add(1)
		defer Live.Goroutines.Add(-1)
		return f(ctx, w, in)
	}
}

var pipes = map[string]pipeFunc{
	"upper":  func(_ context.Context, w io.Writer, r io.Reader) error { return each(w, r, bytes.ToUpper) },
	"double": func(_ context.Context, w io.Writer, r io.Reader) error { return each(w, r, twice) },
	"copy": func(_ context.Context, w io.Writer, r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	},
	"prefix": func(_ context.Context, w io.Writer, r io.Reader) error {
		_, err := io.Copy(w, io.MultiReader(strings.NewReader("<<"), r))
		return err
	},
	"suffix": func(_ context.Context, w io.Writer, r io.Reader) error {
		_, err := io.Copy(w, io.MultiReader(r, strings.NewReader(">>")))
		return err
	},
	"buffer": func(_ context.Context, w io.Writer, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err == nil {
			_, err = w.Write(bytes.ToUpper(b))
		}
		return err
	},
	"early": func(_ context.Context, w io.Writer, r io.Reader) error {
		b := make([]byte, 3)
		n, _ := io.ReadFull(r, b)
		_, err := w.Write(b[:n])
		return err
	},
	"drop": func(_ context.Context, _ io.Writer, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	},
	"error": func(_ context.Context, _ io.Writer, r io.Reader) error {
		r.Read(make([]byte, 1))
		return errors.New("pipe-error")
	},
	"panic": func(_ context.Context, _ io.Writer, r io.Reader) error {
		r.Read(make([]byte, 1))
		panic("pipe-panic")
	},
	"ahead": func(ctx context.Context, w io.Writer, r io.Reader) error {
		b := make([]byte, 32<<10)
		n, err := r.Read(b)
		if err == nil {
			_, err = w.Write(b[:n])
		}
		if err == nil {
			<-ctx.Done()
			err = ctx.Err()
		}
		return err
	},
	"wait": func(ctx context.Context, _ io.Writer, _ io.Reader) error {
		Live.Waiting.Add(1)
		<-ctx.Done()
		Live.Waiting.Add(-1)
		Live.Cancelled.Add(1)
		return ctx.Err()
	},
}

func each(w io.Writer, r io.Reader, f func([]byte) []byte) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if _, werr := w.Write(f(buf[:n])); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func twice(p []byte) []byte { return bytes.Repeat(p, 2) }
