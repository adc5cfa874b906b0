package chain

// Keeps reports whether a plugin keeps something of dir back for what follows: headers that it holds until the body is
// there, or a pipe that runs. A host that cannot tell whether more follows asks before it tells the chain that nothing
// does.
func (st *Stream) Keeps(dir int) bool {
	d := &st.d[dir]
	return d.hold >= 0 || len(d.pipes) > 0
}
