"""The embedding trainer: data, schedules, losses and one recipe file a method."""
