package other

func other() { go other() }
