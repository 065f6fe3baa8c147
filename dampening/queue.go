package dampening

// A queue is a binary heap of gates that know their place in it, so that one
// can be moved or taken out without a search.
type queue struct {
	gates []*gate
	less  func(a, b *gate) bool
	place func(*gate) *int // where in gates, plus one; 0: not here
}

func (q *queue) len() int { return len(q.gates) }

// top returns the first gate, nil if there is none.
func (q *queue) top() *gate {
	if len(q.gates) == 0 {
		return nil
	}
	return q.gates[0]
}

// put adds g, or moves it after its order changed.
func (q *queue) put(g *gate) {
	i := *q.place(g) - 1
	if i < 0 {
		i = len(q.gates)
		q.gates = append(q.gates, g)
	}
	q.down(q.up(i))
}

func (q *queue) remove(g *gate) {
	i := *q.place(g) - 1
	if i < 0 {
		return
	}
	*q.place(g) = 0
	last := len(q.gates) - 1
	moved := q.gates[last]
	q.gates[last] = nil
	q.gates = q.gates[:last]
	if i < last {
		q.gates[i] = moved
		q.down(q.up(i))
	}
}

// up and down move the gate at i to where it belongs and record its place.
func (q *queue) up(i int) int {
	g := q.gates[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !q.less(g, q.gates[parent]) {
			break
		}
		q.set(i, q.gates[parent])
		i = parent
	}
	q.set(i, g)
	return i
}

func (q *queue) down(i int) {
	g := q.gates[i]
	for {
		child := 2*i + 1
		if child >= len(q.gates) {
			break
		}
		if child+1 < len(q.gates) && q.less(q.gates[child+1], q.gates[child]) {
			child++
		}
		if !q.less(q.gates[child], g) {
			break
		}
		q.set(i, q.gates[child])
		i = child
	}
	q.set(i, g)
}

func (q *queue) set(i int, g *gate) {
	q.gates[i] = g
	*q.place(g) = i + 1
}
