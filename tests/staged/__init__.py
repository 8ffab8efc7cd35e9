"""An application that tests add to a portal: jobs whose length and outcome the test chooses."""
