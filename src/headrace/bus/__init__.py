"""The bus: durable, replayable topics behind one Protocol."""
