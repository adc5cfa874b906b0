// Package figures is what benchmarks of whole processes share, which measure their variants round by round: what disturbs a
// round disturbs all of its variants.
package figures

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// Ratios returns all / base, round by round.
func Ratios(all, base []float64) (r []float64) {
	for i := range all {
		r = append(r, all[i]/base[i])
	}
	return r
}

// Differences returns all - base, round by round.
func Differences(all, base []float64) (d []float64) {
	for i := range all {
		d = append(d, all[i]-base[i])
	}
	return d
}

// Median returns the median of all, the upper of two.
func Median(all []float64) float64 {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// CPU returns what the threads of processes have used until now. Those that have ended do not count.
func CPU(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/task", pid)
		tasks, err := os.ReadDir(dir)
		if err != nil {
			return 0, err
		}
		for _, t := range tasks {
			p, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
			if err != nil {
				continue // the thread has ended
			}
			n, err := strconv.ParseInt(string(bytes.Fields(p)[0]), 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n)
		}
	}
	return total, nil
}
