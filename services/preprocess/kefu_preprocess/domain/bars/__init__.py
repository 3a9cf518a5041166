"""Finding the bars that a phone's system draws on a screenshot: status bar, gesture bar, navigation bar."""
