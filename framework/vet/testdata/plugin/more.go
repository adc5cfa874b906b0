package plugin

func more() { go start(nil) }
