"""The command `library`: search the posts of a run, show one post, print the tree of citations, export, verify."""
