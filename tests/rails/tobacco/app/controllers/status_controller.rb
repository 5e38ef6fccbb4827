# What the people who run the app ask for.
class StatusController < ApplicationController
  def up
    ActiveRecord::Base.connection.execute("SELECT 1")
    render plain: "up"
  end

  def version
    render json: {
      version: Rails.configuration.x.version,
      release: ENV["HMS_RELEASE"],
      commit: ENV["HMS_COMMIT"],
      rows: Order.count,
    }
  end

  # Tells whether a variable of the environment has reached the application.
  def env
    render plain: ENV.fetch(params[:name], "(not set)")
  end
end
